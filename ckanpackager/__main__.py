"""python -m ckanpackager"""

from ckanpackager.cli.main import main

if __name__ == "__main__":
    main()
