SELECT current_setting('search_path'), current_setting('enable_seqscan'), current_setting('transaction_read_only'),
       clock_timestamp()
