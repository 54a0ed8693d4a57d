"""`python -m distillation`."""

from distillation.app import main

if __name__ == "__main__":
    main()
