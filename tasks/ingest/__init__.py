"""Ingest: files of any supported format, here or on S3, become documents of one schema or are refused with a reason."""
