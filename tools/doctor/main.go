// Command doctor says what this machine lacks for this repository, why that matters and the command that mends it.
//
//	GOWORK=off go run -C tools ./doctor [--quiet] [--port 127.0.0.1:8080 [--own-label KEY=VALUE]]
//
// On Debian and Ubuntu it offers to mend what it can. It exits 1 when something necessary is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"

	"bookshelf/tools/internal/command"
	"bookshelf/tools/internal/repo"
	"bookshelf/tools/internal/term"
)

func main() { command.Main("doctor", run) }

// run looks, offers to mend what can be mended, and looks again if anything was tried: the second look decides.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	quiet := flags.Bool("quiet", false, "print nothing when all is well")
	port := flags.String("port", "", "address that is about to be published, such as 127.0.0.1:8080")
	ownLabel := flags.String("own-label", "", "a container with this label may hold the port already")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	p := probe{root: root, port: *port, ownLabel: *ownLabel}
	facts, err := p.gather(ctx)
	if err != nil {
		return err
	}
	findings := judge(facts)
	if mended := offerToMend(ctx, findings, stderr); mended {
		if facts, err = p.gather(ctx); err != nil {
			return err
		}
		findings = judge(facts)
	}
	return report(findings, facts, *quiet, stdout)
}

// offerToMend runs the commands of those findings that a command can mend, after asking about each. It tells whether
// anything was tried.
func offerToMend(ctx context.Context, findings []finding, stderr io.Writer) bool {
	tried := false
	for _, f := range findings {
		if !f.mendable || f.level == note {
			continue
		}
		if !term.Confirm(fmt.Sprintf("%s. Run `%s`?", f.what, f.fix)) {
			continue
		}
		tried = true
		p := term.Start(os.Stderr, f.fix)
		cmd := exec.CommandContext(ctx, "sh", "-c", f.fix)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdin = os.Stdin // sudo may ask for a password
		if out, err := cmd.CombinedOutput(); err != nil {
			p.Done("failed")
			fmt.Fprintf(stderr, "%s", out)
			continue // the second look tells what is still missing
		}
		p.Done("done")
	}
	return tried
}

// report prints the findings and, unless quiet, a last line that sums up. Its error says how many are necessary; advice and
// notes never stop anybody.
func report(findings []finding, facts facts, quiet bool, stdout io.Writer) error {
	missing := 0
	for _, f := range findings {
		if f.level == note && quiet {
			continue
		}
		if f.level == necessary {
			missing++
		}
		fmt.Fprintf(stdout, "%-9s %s\n", f.level, f)
	}
	if missing > 0 {
		return fmt.Errorf("%d of the things above must be mended first", missing)
	}
	if !quiet {
		fmt.Fprintf(stdout, "%-9s Go %s, engine API %s, %s free: this machine can build, test and run everything\n",
			"fine", facts.goVersion, facts.engineAPI, gigabytes(facts.diskFree))
	}
	return nil
}
