"""Low resolution made of pictures, and how near enlarged ones come to them."""
