"""Tests of the stand-ins for outside services."""
