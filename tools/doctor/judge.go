package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// facts is what was seen of the machine. judge looks at nothing else.
type facts struct {
	goVersion, goWanted string // 1.26.8
	git                 bool
	cCompiler           bool

	dockerCommand bool
	engineAPI     string // 1.41; empty when no engine answers
	engineError   string // what docker said then
	engineAddress string // DOCKER_HOST, or empty for the default socket

	buildxPlugin bool
	buildxBuilt  bool // the pinned one is in the cache or the tools folder

	basesThere bool // every base image is in the engine
	mmdebstrap bool

	diskFree int64 // bytes, the least of the file systems that will be written to

	port      string // address asked about; empty when none
	portError string // why it cannot be listened on
	portOurs  bool   // a container of the environment itself holds it

	clockSkew  time.Duration // this machine minus a server on the network; 0 when none was asked
	newestFile time.Duration // how far in the future the repository's newest commit or file is

	apt  bool
	root bool
}

// level says how bad a finding is, and with that whether it stops what comes after the check.
type level string

const (
	necessary level = "necessary" // nothing works without
	advice    level = "advice"    // works, but will hurt
	note      level = "note"      // good to know; not shown when quiet
)

// finding is one line of advice.
type finding struct {
	level    level
	what     string // what is wrong
	why      string // why that matters
	fix      string // the command that mends it
	mendable bool   // fix can be run for the person
}

// String is the finding in one line: what, why, how to mend it.
func (f finding) String() string {
	return fmt.Sprintf("%s: %s; mend it with: %s", f.what, f.why, f.fix)
}

const (
	// wantedAPI is Docker 19.03's: the first whose builder knows secrets and cache mounts.
	wantedAPI = "1.40"

	// A first run writes compilers' caches, three base images and the tools: about 6 GB, of which a test run needs half.
	leastDisk = 3 << 30
	goodDisk  = 8 << 30

	// TLS certificates, tokens and file times tolerate about this much.
	toleratedSkew = 5 * time.Minute
)

// judge turns facts into findings, the necessary ones first.
func judge(f facts) []finding {
	var found []finding
	found = append(found, judgeCommands(f)...)
	found = append(found, judgeEngine(f)...)
	found = append(found, judgeRoom(f)...)
	found = append(found, judgeClock(f)...)
	var ordered []finding
	for _, l := range []level{necessary, advice, note} {
		for _, one := range found {
			if one.level == l {
				ordered = append(ordered, one)
			}
		}
	}
	return ordered
}

// judgeCommands looks at what must be installed. make itself is not asked about: without it nobody gets here.
func judgeCommands(f facts) []finding {
	var found []finding
	if older(f.goVersion, f.goWanted) {
		found = append(found, finding{
			level: necessary,
			what:  "Go " + f.goVersion + " is older than " + f.goWanted,
			why:   "go.work asks for it, and the code uses it",
			fix:   "install Go " + f.goWanted + " or later from https://go.dev/dl/",
		})
	}
	if !f.git {
		found = append(found, f.packageFinding(necessary, "git is missing", "images and releases are named for their commit", "git"))
	}
	if !f.cCompiler {
		found = append(found, f.packageFinding(note, "there is no C compiler", "tests run without the race detector", "gcc libc6-dev"))
	}
	return found
}

// judgeEngine looks at the container engine and at what it needs to build images. Without an engine nothing can be said of
// the rest, so that is then the only finding.
func judgeEngine(f facts) []finding {
	if !f.dockerCommand {
		return []finding{f.packageFinding(necessary, "docker is missing", "everything runs in containers", "docker.io")}
	}
	if f.engineAPI == "" {
		return []finding{f.silentEngine()}
	}
	var found []finding
	if older(f.engineAPI, wantedAPI) {
		found = append(found, finding{
			level: necessary,
			what:  "the engine speaks API " + f.engineAPI + " and not " + wantedAPI,
			why:   "its builder lacks secrets and cache mounts",
			fix:   "upgrade the Docker engine to 19.03 or later",
		})
	}
	if !f.buildxPlugin && !f.buildxBuilt {
		found = append(found, finding{
			level: note,
			what:  "docker has no buildx plugin",
			why:   "the pinned one will be built from source, which takes two minutes once",
			fix:   "make image",
		})
	}
	if !f.basesThere && !f.mmdebstrap {
		found = append(found, f.packageFinding(note, "mmdebstrap is missing",
			"base images can only be had from a registry, not be built here", "mmdebstrap"))
	}
	return found
}

// silentEngine finds the likeliest reason why nothing answers. The remedy depends on it: starting a local engine does not
// help who may not talk to it, or who has set another address.
func (f facts) silentEngine() finding {
	problem := finding{
		level: necessary,
		what:  "no Docker engine answers (" + f.engineError + ")",
		why:   "everything runs in containers",
		fix:   "start Docker",
	}
	switch {
	case strings.Contains(f.engineError, "permission denied"):
		problem.what = "the Docker engine refuses this user (permission denied on its socket)"
		problem.fix = "sudo usermod -aG docker $USER, then log in again"
	case f.engineAddress != "":
		problem.fix = "unset DOCKER_HOST, or start the engine at " + f.engineAddress
	case f.apt:
		problem.fix = f.sudo() + "service docker start"
		problem.mendable = true
	}
	return problem
}

// judgeRoom looks at what is about to be used up: disk and port. The port's owner cannot be named here, because only root
// may see the processes of others; the remedy shows how.
func judgeRoom(f facts) []finding {
	var found []finding
	if f.diskFree < goodDisk {
		l := advice
		if f.diskFree < leastDisk {
			l = necessary
		}
		found = append(found, finding{
			level: l,
			what:  "only " + gigabytes(f.diskFree) + " are free",
			why:   "a first run writes about 6 GB of images and caches",
			fix:   "docker system prune, or go clean -cache",
		})
	}
	if f.port != "" && f.portError != "" && !f.portOurs {
		port := f.port[strings.LastIndexByte(f.port, ':')+1:]
		found = append(found, finding{
			level: necessary,
			what:  f.port + " cannot be used (" + f.portError + ")",
			why:   "the environment is about to publish it",
			fix:   "find its owner with `ss -ltnp 'sport = :" + port + "'`, or choose another port in infra/Pulumi.ENV.yaml",
		})
	}
	return found
}

// judgeClock gives one finding even when both signs agree. The network's word counts first, because a file may come from
// a machine that was wrong.
func judgeClock(f facts) []finding {
	const mend = "set the clock: sudo timedatectl set-ntp true"
	if f.clockSkew.Abs() > toleratedSkew {
		direction := "ahead of"
		if f.clockSkew < 0 {
			direction = "behind"
		}
		return []finding{{
			level: advice,
			what:  fmt.Sprintf("the clock is %v %s the network's", f.clockSkew.Abs().Round(time.Second), direction),
			why:   "certificates and tokens are judged by it",
			fix:   mend,
		}}
	}
	if f.newestFile > toleratedSkew {
		return []finding{{
			level: advice,
			what:  fmt.Sprintf("the repository was changed %v in the future", f.newestFile.Round(time.Second)),
			why:   "the clock is behind, or was ahead; certificates and caches are judged by it",
			fix:   mend,
		}}
	}
	return nil
}

// packageFinding is a finding that a Debian package mends; elsewhere it only names what to install.
func (f facts) packageFinding(l level, what, why, packages string) finding {
	if f.apt {
		return finding{level: l, what: what, why: why, mendable: true,
			fix: f.sudo() + "apt-get update; " + f.sudo() + "apt-get install -y " + packages}
	}
	return finding{level: l, what: what, why: why, fix: "install " + packages}
}

// sudo is what a command that needs root begins with.
func (f facts) sudo() string {
	if f.root {
		return ""
	}
	return "sudo "
}

// older compares versions such as 1.26.8 and 1.41 by their numbers. What is not a number ends the comparison: a release
// candidate counts as its release.
func older(have, want string) bool {
	h, w := numbers(have), numbers(want)
	for i := range w {
		switch {
		case i >= len(h):
			return w[i] > 0
		case h[i] != w[i]:
			return h[i] < w[i]
		}
	}
	return false
}

// numbers are the leading numbers of a version's parts: 1.27rc1 is 1, 27.
func numbers(version string) []int {
	var list []int
	for part := range strings.SplitSeq(version, ".") {
		digits := part
		if i := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
			digits = part[:i]
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return list
		}
		list = append(list, n)
		if digits != part {
			return list
		}
	}
	return list
}

// gigabytes is how disk sizes are told, in units of 10⁹ bytes as on the disk's box.
func gigabytes(bytes int64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }
