"""Tests of the floor that reaches models."""
