"""AWS: the one room that imports boto3."""

from cloud.clients import stay_at_home

# Before anything of boto3 looks for a configuration.
stay_at_home()
