SELECT link, path FROM links WHERE repo = $1
