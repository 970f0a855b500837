"""botocore's descriptions of the services."""

from botocore.loaders import Loader


class OneService(Loader):
    """Loads the description of one service.

    botocore's own loader looks through the folders of all 400 services, three times for each
    client: 3,500 calls to the disk at every start.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the service; whether it has a description of this type shows when it is read."""
        return [self._service]
