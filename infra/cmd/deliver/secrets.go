package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bookshelf/infra/delivery"
)

func (d *deliver) secretsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secrets export | import",
		Short: "Move an environment's secrets to another machine",
		Example: `  deliver secrets export -e prod prod.age
  deliver secrets import -e prod prod.age`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(d.exportCommand(), d.importCommand())
	return cmd
}

func (d *deliver) exportCommand() *cobra.Command {
	var recipients []string
	var recipientsFile, passphraseFile string
	cmd := &cobra.Command{
		Use:   "export -e ENVIRONMENT FILE [--recipient KEY … | --recipients-file FILE | --passphrase-file FILE]",
		Short: "Write secrets and state into a new file, encrypted with age",
		Long: `Export writes the environment's passwords, Pulumi's passphrase and state, and what deliver
remembers into FILE, which must not exist. It is encrypted for the recipients, or with a passphrase
from a file or from the terminal; age itself can open it, too. Reports and dumps stay here.`,
		Example: `  deliver secrets export -e prod prod.age
  deliver secrets export -e prod prod.age --recipient age1…`,
		Args: oneFile,
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&recipients, "recipient", nil, "whom to encrypt it for: a public key of age, age1…; may be repeated")
	flags.StringVar(&recipientsFile, "recipients-file", "", "a file of such keys, a line each")
	flags.StringVar(&passphraseFile, "passphrase-file", "", "a file with the passphrase to encrypt it with")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		return d.operate(func(o *delivery.Operator) error {
			to, err := d.recipients(recipients, recipientsFile, passphraseFile)
			if err != nil {
				return err
			}
			result, err := o.ExportSecrets(d.environment, args[0], to...)
			if err != nil {
				return err
			}
			return d.print(result, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %d files in %s\n", result.Environment, result.Files, result.File)
			})
		})
	}
	return cmd
}

func (d *deliver) importCommand() *cobra.Command {
	var identityFile, passphraseFile string
	cmd := &cobra.Command{
		Use:   "import -e ENVIRONMENT FILE [--identity-file FILE | --passphrase-file FILE]",
		Short: "Put an exported environment's secrets and state in their place",
		Long: `Import reads what export has written. All of it is checked first; where this machine holds another
state of the environment already, what differs is named and nothing is touched. Then
` + "`deliver up`" + ` operates the environment from here, on the engine that DOCKER_HOST names. Let only one
machine do so at a time: each has a lock of its own.`,
		Example: `  deliver secrets import -e prod prod.age
  deliver secrets import -e prod prod.age --identity-file key.txt`,
		Args: oneFile,
	}
	flags := cmd.Flags()
	flags.StringVar(&identityFile, "identity-file", "", "a file with the private key of age")
	flags.StringVar(&passphraseFile, "passphrase-file", "", "a file with the passphrase that it was encrypted with")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		return d.operate(func(o *delivery.Operator) error {
			identities, err := d.identities(identityFile, passphraseFile)
			if err != nil {
				return err
			}
			result, err := o.ImportSecrets(d.environment, args[0], identities...)
			if err != nil {
				return err
			}
			return d.print(result, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %d files, as of %s; next: deliver status -e %s\n", result.Environment, result.Files, result.Made.Format("2006-01-02 15:04"), result.Environment)
			})
		})
	}
	return cmd
}

func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("which file? As in `%s -e prod prod.age`", cmd.CommandPath())
	}
	return nil
}

// recipients are whom an export is for: keys, or whoever has the passphrase.
func (d *deliver) recipients(keys []string, file, passphraseFile string) ([]age.Recipient, error) {
	given := 0
	for _, is := range []bool{len(keys) > 0, file != "", passphraseFile != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		return nil, usageError("--recipient, --recipients-file and --passphrase-file: one of them")
	}
	text := []byte(strings.Join(keys, "\n"))
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, usageError("--recipients-file: %s", err)
		}
	}
	if len(text) > 0 {
		recipients, err := age.ParseRecipients(bytes.NewReader(text))
		if err != nil {
			return nil, usageError("recipients: %s", err)
		}
		return recipients, nil
	}
	phrase, err := d.passphrase(passphraseFile, true)
	if err != nil {
		return nil, err
	}
	recipient, err := age.NewScryptRecipient(phrase)
	return []age.Recipient{recipient}, err
}

// identities are what an export is opened with.
func (d *deliver) identities(file, passphraseFile string) ([]age.Identity, error) {
	if file != "" && passphraseFile != "" {
		return nil, usageError("--identity-file and --passphrase-file: one of them")
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError("--identity-file: %s", err)
		}
		identities, err := age.ParseIdentities(bytes.NewReader(text))
		if err != nil {
			return nil, usageError("--identity-file: %s holds no private key of age", file) // whose error could show it
		}
		return identities, nil
	}
	phrase, err := d.passphrase(passphraseFile, false)
	if err != nil {
		return nil, err
	}
	identity, err := age.NewScryptIdentity(phrase)
	return []age.Identity{identity}, err
}

// minPassphrase is in characters. What is encrypted is worth a guess.
const minPassphrase = 12

// passphrase reads it from a file or, without one, from the terminal: a new one twice.
func (d *deliver) passphrase(file string, isNew bool) (string, error) {
	var phrase string
	if file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", usageError("--passphrase-file: %s", err)
		}
		phrase = strings.TrimRight(string(content), "\r\n")
	} else {
		var err error
		if phrase, err = d.askPassphrase(isNew); err != nil {
			return "", err
		}
	}
	if utf8.RuneCountInString(phrase) < minPassphrase {
		return "", usageError("the passphrase is too short: want %d characters or more", minPassphrase)
	}
	return phrase, nil
}

func (d *deliver) askPassphrase(isNew bool) (string, error) {
	terminal, ok := d.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return "", usageError("there is no terminal to ask for a passphrase on: name keys, or a --passphrase-file")
	}
	prompts := []string{"Passphrase: "}
	if isNew {
		prompts = append(prompts, "Once more: ")
	}
	var phrase string
	for i, prompt := range prompts {
		fmt.Fprint(d.stderr, prompt)
		typed, err := term.ReadPassword(int(terminal.Fd()))
		fmt.Fprintln(d.stderr)
		if err != nil {
			return "", fmt.Errorf("read the passphrase: %w", err)
		}
		if i > 0 && string(typed) != phrase {
			return "", usageError("the two are not the same")
		}
		phrase = string(typed)
	}
	return phrase, nil
}
