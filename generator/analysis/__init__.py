"""What a model knows and what it copies: ranking, dynamic evaluation, originality."""
