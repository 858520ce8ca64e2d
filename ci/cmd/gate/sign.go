package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dagger/bookshelf/plan"
)

// sign signs a published image with a key file and attaches its SBOM, in both formats, and its provenance. The SBOM is made
// of the very bytes that the registry has under the digest.
func (g *gate) sign(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("sign", flag.ContinueOnError)
	key := flags.String("key", "", "private key, as `cosign generate-key-pair` writes it")
	passwordFile := flags.String("password-file", "", "file with the key's password (default: the variable COSIGN_PASSWORD)")
	source := flags.String("source-url", "", "address of the sources, for the provenance")
	ref := flags.String("ref", "", "git reference that was built, such as refs/heads/main")
	plainHTTP := flags.Bool("plain-http", false, "the registry speaks plain HTTP")
	if err := g.parse(flags, args, 1, 1, "one image, NAME@sha256:…"); err != nil {
		return err
	}
	image, err := plan.ParsePinned(flags.Arg(0))
	if err != nil {
		return usage("sign: %s", err)
	}
	if *key == "" || *source == "" {
		return usage("sign: --key and --source-url are needed")
	}
	keyFile, err := filepath.Abs(*key)
	if err != nil {
		return err
	}
	if _, err := os.Stat(keyFile); err != nil {
		return usage("sign: key: %s", err)
	}
	var more []string
	if *passwordFile != "" {
		password, err := readSecret(*passwordFile)
		if err != nil {
			return usage("sign: password: %s", err)
		}
		more = []string{"COSIGN_PASSWORD=" + password}
	} else if _, set := os.LookupEnv("COSIGN_PASSWORD"); !set {
		return usage("sign: the key's password is missing: name its file with --password-file") // cosign would ask, and wait
	}
	provenance, err := g.provenance(ctx, *ref, *source)
	if err != nil {
		return err
	}
	reports, err := g.folder("sign")
	if err != nil {
		return err
	}
	if _, err := g.tools.run(ctx, g.root, []string{"docker", "pull", "--quiet", image.String()}); err != nil {
		return fmt.Errorf("fetch what is to be signed: %w", err)
	}
	if err := g.describe(ctx, subject{image: image.String()}, reports); err != nil {
		return err
	}
	statement := filepath.Join(reports, "provenance.json")
	if err := os.WriteFile(statement, provenance, 0o644); err != nil {
		return fmt.Errorf("write the provenance: %w", err)
	}
	commands := [][]string{plan.CosignSign(image, keyFile, *plainHTTP)}
	for _, one := range sboms {
		commands = append(commands, plan.CosignAttest(image, one.kind, filepath.Join(reports, one.file), keyFile, *plainHTTP))
	}
	commands = append(commands, plan.CosignAttest(image, plan.Provenance, statement, keyFile, *plainHTTP))
	for _, command := range commands {
		if _, err := g.tools.run(ctx, reports, command, more...); err != nil {
			return fmt.Errorf("sign %s: %w", image, err)
		}
	}
	fmt.Fprintln(g.stdout, image)
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

// verify makes sure that an image is signed by whom it should be and carries each attestation.
func (g *gate) verify(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	var by plan.Identity
	flags.StringVar(&by.KeyFile, "key", "", "public key")
	flags.StringVar(&by.Subject, "identity", "", "who must have made a keyless signature: a regular expression over the certificate's subject")
	flags.StringVar(&by.Issuer, "issuer", "", "who must have vouched for that identity")
	plainHTTP := flags.Bool("plain-http", false, "the registry speaks plain HTTP")
	if err := g.parse(flags, args, 1, 1, "one image, NAME@sha256:…"); err != nil {
		return err
	}
	image, err := plan.ParsePinned(flags.Arg(0))
	if err = errors.Join(err, by.Validate()); err != nil {
		return usage("verify: %s", err)
	}
	found, err := g.tools.run(ctx, ".", plan.CosignVerify(image, by, *plainHTTP))
	if err != nil {
		return fmt.Errorf("%s is not signed by whom it should be: %w", image, err)
	}
	if signed, err := plan.Signed(found); err != nil {
		return fmt.Errorf("%s: read cosign's answer: %w", image, err)
	} else if !signed {
		return fmt.Errorf("%s carries statements of the right signer, but no signature", image)
	}
	for _, kind := range plan.Attestations() {
		if _, err := g.tools.run(ctx, ".", plan.CosignVerifyAttestation(image, kind, by, *plainHTTP)); err != nil {
			return fmt.Errorf("%s carries no valid attestation %s: %w", image, kind, err)
		}
	}
	fmt.Fprintf(g.stdout, "%s: signature and attestations (%s) are valid\n", image, strings.Join(plan.Attestations(), ", "))
	return nil
}
