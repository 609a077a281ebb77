"""python -m ckanpackager"""

from ckanpackager.cli import main

if __name__ == "__main__":
    main()
