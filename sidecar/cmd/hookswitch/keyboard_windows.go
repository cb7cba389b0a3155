package main

import (
	"context"
	"os"
)

// keyboard has no keys on Windows.
type keyboard struct{}

func openKeyboard(*os.File) *keyboard { return nil }

func (*keyboard) close() {}

func (*keyboard) run(context.Context, func([]byte)) {}
