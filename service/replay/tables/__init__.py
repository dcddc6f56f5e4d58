"""Tables of rows, such as CSV and Parquet, as events: one file a format, and one mapping for all of them."""
