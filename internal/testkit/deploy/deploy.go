// Package deploy has tests only: it holds the files that hookswitch is deployed
// with against the programs that read them, as far as those are available without
// a cluster or a container engine. Package machine runs what systemd does with them.
//
//	make deploy
package deploy
