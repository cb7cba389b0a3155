package main

import "os"

// columnsOf returns 0: a console of Windows is taken for one of 80 columns.
func columnsOf(*os.File) int { return 0 }
