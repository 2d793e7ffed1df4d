"""The web page for one-click unsubscribing (RFC 8058), a WSGI application for any WSGI server.

CAMPAIGN_FILE=/srv/news/campaign.yaml gunicorn campaign.unsubscribe:app
"""

from campaign.unsubscribe.web import Application, app

__all__ = ["Application", "app"]
