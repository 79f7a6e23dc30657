"""Measurements that issues and the README quote; run by hand, never by the tests."""
