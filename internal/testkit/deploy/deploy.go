// Package deploy has tests only: it holds the files that hookswitch is deployed
// with against the programs that read them, as far as those are available without
// a cluster, a container engine or a running systemd.
//
//	make deploy
package deploy
