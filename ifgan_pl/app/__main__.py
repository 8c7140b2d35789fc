"""``python -m ifgan_pl.app``: the page, on this machine."""

from ifgan_pl.app.start import main

if __name__ == "__main__":
    main()
