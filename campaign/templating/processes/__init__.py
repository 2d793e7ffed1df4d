"""The processes in which templates run, under limits that the kernel keeps."""
