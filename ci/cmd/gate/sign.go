package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dagger/bookshelf/plan"
)

// signing is what a signature is made of.
type signing struct {
	image     plan.Pinned
	key       string // absolute
	password  []string
	source    string
	ref       string
	plainHTTP bool
	checked   bool // the arguments are right, and that was all to find out
}

// parseSigning reads the arguments of sign. Everything that can be wrong with them is found here, before anything is built or sent.
func (g *gate) parseSigning(args []string) (signing, error) {
	flags := flag.NewFlagSet("sign", flag.ContinueOnError)
	var s signing
	flags.StringVar(&s.key, "key", "", "private key, as `cosign generate-key-pair` writes it")
	passwordFile := flags.String("password-file", "", "file with the key's password (default: the variable COSIGN_PASSWORD)")
	flags.StringVar(&s.source, "source-url", "", "address of the sources, for the provenance")
	flags.StringVar(&s.ref, "ref", "", "git reference that was built, such as refs/heads/main")
	flags.BoolVar(&s.plainHTTP, "plain-http", false, "the registry speaks plain HTTP")
	flags.BoolVar(&s.checked, "check", false, "only say whether the arguments are right")
	if err := g.parse(flags, args, 1, 1, "one image, NAME@sha256:…"); err != nil {
		return s, err
	}
	if flags.Arg(0) == "" || s.key == "" || s.source == "" {
		return s, usage("sign: an image, --key and --source-url are needed: make sign IMAGE=NAME@sha256:… KEY=FILE SOURCE_URL=URL")
	}
	var err error
	if s.image, err = plan.ParsePinned(flags.Arg(0)); err != nil {
		return s, usage("sign: %s", err)
	}
	if s.key, err = filepath.Abs(s.key); err != nil {
		return s, err
	}
	if _, err := os.Stat(s.key); err != nil {
		return s, usage("sign: key: %s", err)
	}
	if *passwordFile != "" {
		password, err := readSecret(*passwordFile)
		if err != nil {
			return s, usage("sign: password: %s", err)
		}
		s.password = []string{"COSIGN_PASSWORD=" + password}
	} else if _, set := os.LookupEnv("COSIGN_PASSWORD"); !set {
		// cosign would ask, and wait
		return s, usage("sign: the key's password is missing: set COSIGN_PASSWORD, or name its file with --password-file (SIGN_FLAGS of make)")
	}
	return s, nil
}

// sign signs a published image with a key file and attaches its SBOM, in both formats, and its provenance. The SBOM is made
// of the very bytes that the registry has under the digest.
func (g *gate) sign(ctx context.Context, args []string) error {
	s, err := g.parseSigning(args)
	if err != nil {
		return err
	}
	provenance, err := g.provenance(ctx, s.ref, s.source)
	if err != nil || s.checked {
		return err
	}
	reports, err := g.folder("sign")
	if err != nil {
		return err
	}
	if _, err := g.tools.run(ctx, g.root, []string{"docker", "pull", "--quiet", s.image.String()}); err != nil {
		return fmt.Errorf("fetch what is to be signed: %w", err)
	}
	if err := g.describe(ctx, subject{image: s.image.String()}, reports); err != nil {
		return err
	}
	statement := filepath.Join(reports, "provenance.json")
	if err := os.WriteFile(statement, provenance, 0o644); err != nil {
		return fmt.Errorf("write the provenance: %w", err)
	}
	commands := [][]string{plan.CosignSign(s.image, s.key, s.plainHTTP)}
	for _, one := range sboms {
		commands = append(commands, plan.CosignAttest(s.image, one.kind, filepath.Join(reports, one.file), s.key, s.plainHTTP))
	}
	commands = append(commands, plan.CosignAttest(s.image, plan.Provenance, statement, s.key, s.plainHTTP))
	for _, command := range commands {
		if _, err := g.tools.run(ctx, reports, command, s.password...); err != nil {
			return fmt.Errorf("sign %s: %w", s.image, err)
		}
	}
	fmt.Fprintln(g.stdout, s.image)
	return nil
}

// provenance says which commit the image comes from: the one that is checked out.
func (g *gate) provenance(ctx context.Context, ref, source string) ([]byte, error) {
	revision, err := g.tools.run(ctx, g.root, []string{"git", "rev-parse", "HEAD"})
	if err != nil {
		return nil, fmt.Errorf("find the commit for the provenance: %w", err)
	}
	commit := plan.Commit{Ref: ref, Revision: strings.TrimSpace(string(revision))}
	if err := commit.Validate(); err != nil {
		return nil, usage("sign: %s", err)
	}
	arguments := map[string]string{"VERSION": commit.Version(), "REVISION": commit.RevisionLabel()}
	return plan.ProvenanceOf(commit, source, source+"/blob/main/docs/operations.md", arguments, g.now())
}

// verifying is what a signature is compared with.
type verifying struct {
	image     plan.Pinned
	by        plan.Identity
	plainHTTP bool
	checked   bool // as of signing
}

// parseVerifying reads the arguments of verify.
func (g *gate) parseVerifying(args []string) (verifying, error) {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	var v verifying
	flags.StringVar(&v.by.KeyFile, "key", "", "public key")
	flags.StringVar(&v.by.Subject, "identity", "", "who must have made a keyless signature: a regular expression over the certificate's subject")
	flags.StringVar(&v.by.Issuer, "issuer", "", "who must have vouched for that identity")
	flags.BoolVar(&v.plainHTTP, "plain-http", false, "the registry speaks plain HTTP")
	flags.BoolVar(&v.checked, "check", false, "only say whether the arguments are right")
	if err := g.parse(flags, args, 1, 1, "one image, NAME@sha256:…"); err != nil {
		return v, err
	}
	if flags.Arg(0) == "" {
		return v, usage("verify: an image is needed: make verify IMAGE=NAME@sha256:… KEY=FILE")
	}
	var err error
	if v.image, err = plan.ParsePinned(flags.Arg(0)); err != nil {
		return v, usage("verify: %s", err)
	}
	if err := v.by.Validate(); err != nil {
		return v, usage("verify: %s", err)
	}
	if v.by.KeyFile == "" {
		return v, nil
	}
	if _, err := os.Stat(v.by.KeyFile); err != nil {
		return v, usage("verify: key: %s", err)
	}
	return v, nil
}

// verify makes sure that an image is signed by whom it should be and carries each attestation.
func (g *gate) verify(ctx context.Context, args []string) error {
	v, err := g.parseVerifying(args)
	if err != nil || v.checked {
		return err
	}
	found, err := g.tools.run(ctx, ".", plan.CosignVerify(v.image, v.by, v.plainHTTP))
	if err != nil {
		return fmt.Errorf("%s is not signed by whom it should be: %w", v.image, err)
	}
	if signed, err := plan.Signed(found); err != nil {
		return fmt.Errorf("%s: read cosign's answer: %w", v.image, err)
	} else if !signed {
		return fmt.Errorf("%s carries statements of the right signer, but no signature", v.image)
	}
	for _, kind := range plan.Attestations() {
		if _, err := g.tools.run(ctx, ".", plan.CosignVerifyAttestation(v.image, kind, v.by, v.plainHTTP)); err != nil {
			return fmt.Errorf("%s carries no valid attestation %s: %w", v.image, kind, err)
		}
	}
	fmt.Fprintf(g.stdout, "%s: signature and attestations (%s) are valid\n", v.image, strings.Join(plan.Attestations(), ", "))
	return nil
}
