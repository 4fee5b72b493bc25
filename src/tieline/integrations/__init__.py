"""The integration types of Tieline: one line each, and nothing else."""

from tieline.integrations import bitbucket

ALL = (bitbucket.TYPE,)
