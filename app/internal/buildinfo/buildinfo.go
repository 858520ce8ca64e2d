// Package buildinfo says which build of the service is running. A release stamps both values with the linker:
//
//	-ldflags "-X bookshelf/app/internal/buildinfo.Version=v1.2.3 -X bookshelf/app/internal/buildinfo.Revision=<commit>"
package buildinfo

import (
	"runtime/debug"
	"sync"
)

// Version is the released version and Revision the commit it was built from. They are variables because the linker can
// set nothing else; read them through Get, which fills in what was not stamped.
var (
	Version  string
	Revision string
)

// Info identifies a build.
type Info struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
}

// Get returns the stamped values. Without a stamp the version is "dev" and the revision is what the Go toolchain recorded,
// or "unknown".
var Get = sync.OnceValue(func() Info {
	info := Info{Version: Version, Revision: Revision}
	if info.Version == "" {
		info.Version = "dev"
	}
	if info.Revision == "" {
		info.Revision = recordedRevision()
	}
	return info
})

func recordedRevision() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, suffix := "unknown", ""
	for _, s := range build.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			suffix = "-dirty"
		}
	}
	return revision + suffix
}
