"""What a checkpoint was made from, what a corpus was used for, and whether both are still as recorded."""
