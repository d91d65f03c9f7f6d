"""What is protected, as signed records say: a pure fold that opens no file and asks no server."""
