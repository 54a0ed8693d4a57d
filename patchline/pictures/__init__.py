"""Where pictures come from: bounded opening of files and bytes, category folders with truth, drawn products."""
