"""What a checkpoint was made from, who let it pass, and whether it is still what it was: from what was recorded."""
