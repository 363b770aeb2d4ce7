complete --keep-order --exclusive --command ctctl --arguments "(_CTCTL_COMPLETE=fish ctctl -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
