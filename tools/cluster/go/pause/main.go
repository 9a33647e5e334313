// Command pause holds namespaces open and reaps what is orphaned in them. It is the pause container of every pod
// and process 1 of every node. SIGTERM and SIGINT end it.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	for received := range signals {
		if received != syscall.SIGCHLD {
			os.Exit(0)
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil && err != syscall.EINTR {
				break
			}
		}
	}
}
