package main

import (
	"testing"

	"github.com/hookswitch/hookswitch/examples/routers/routertest"
)

func TestServer(t *testing.T) { routertest.Run(t, newHandler) }
