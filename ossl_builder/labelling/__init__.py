"""What people say of clips: the questions, the records, agreement, and the labels that follow."""
