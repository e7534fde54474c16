from backend.server import serve
from backend.settings import Settings


def main() -> None:
    """Serve with the settings of the environment."""
    serve(Settings())


if __name__ == "__main__":
    main()
