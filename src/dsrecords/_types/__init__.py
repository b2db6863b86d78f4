"""What a field can hold: values into bytes and back."""
