"""What tasks that predict numbers have in common: units, head, margins and guard. See decision 0054."""
