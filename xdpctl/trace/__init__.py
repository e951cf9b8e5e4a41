"""Where packets go and why: made, followed through the compiled programs, compared."""
