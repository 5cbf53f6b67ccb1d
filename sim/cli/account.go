package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newMeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "me", Short: "Tell whom the portal takes you for, and what you may", Args: noArgs}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, _ []string) error {
		me, err := c.Me(ctx)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, me, func(w *tabwriter.Writer) {
			row(w, "User", me.ID)
			row(w, "Name", me.Name)
			row(w, "Organisation", me.Organisation)
			row(w, "Role", me.Role)
			row(w, "Trainer", me.Trainer)
			row(w, "By", me.Via)
			row(w, "Scopes", scopes(me.Scopes))
		})
	})
	return cmd
}

func scopes(all []api.Scope) string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = string(s)
	}
	return strings.Join(out, ",")
}

func newUserCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "user", Short: "List, add and remove users of the portal as an organisation admin; change passwords",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUserListCommand(a), newUserAddCommand(a), newUserPasswordCommand(a), newUserRemoveCommand(a))
	return cmd
}

func newUserListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the organisation's users; the trainer's list has everybody", Args: noArgs}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, _ []string) error {
		users, err := c.Users(ctx)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, users, userTable(users))
	})
	return cmd
}

func userTable(users []api.User) func(*tabwriter.Writer) {
	return func(w *tabwriter.Writer) {
		row(w, "USER", "NAME", "ORGANISATION", "ROLE", "TRAINER", "DEMO")
		for _, u := range users {
			row(w, u.ID, u.Name, u.Organisation, u.Role, u.Trainer, u.Demo)
		}
	}
}

func newUserAddCommand(a *app) *cobra.Command {
	var spec api.UserSpec
	var file string
	cmd := &cobra.Command{
		Use: "add ID NAME", Short: "Add a user; the password is read from stdin or a file",
		Example: "  dpesim user add nina \"Nina Novak\" --role owner --password-file password.txt\n  pass show portal/nina | dpesim user add nina \"Nina Novak\"",
		Args:    exactArgs(2),
	}
	output := outputFlag(cmd)
	cmd.Flags().StringVar((*string)(&spec.Role), "role", string(api.RoleMember), "admin, owner or member")
	cmd.Flags().StringVar(&file, "password-file", "", "file with the password (default: stdin); a newline at its end is no part of it")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		var err error
		if spec.Password, err = a.password(file); err != nil {
			return err
		}
		spec.ID, spec.Name = args[0], args[1]
		u, err := c.AddUser(ctx, spec)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, u, userTable([]api.User{u}))
	})
	return cmd
}

// maxPasswordFile bounds what is read as a password, in bytes: more than the portal takes.
const maxPasswordFile = 4 << 10

// password reads a password from a file or, without one, from stdin. A terminal would show it while it is typed.
func (a *app) password(file string) (sim.Secret, error) {
	in := a.Stdin
	if file != "" {
		f, err := os.Open(a.path(file))
		if err != nil {
			return "", &sim.Error{Kind: sim.Invalid, Msg: "the file with the password cannot be read", Help: "check " + file, Err: err}
		}
		defer func() { _ = f.Close() }()
		in = f
	} else if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&fs.ModeCharDevice != 0 {
			return "", usage(sim.Errorf(sim.Invalid, "the password is not read from a terminal, which would show it").WithHelp("pipe it in, or give --password-file"))
		}
	}
	b, err := io.ReadAll(io.LimitReader(in, maxPasswordFile))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if password == "" {
		return "", usage(sim.Errorf(sim.Invalid, "there is no password").WithHelp("pipe it in, or give --password-file"))
	}
	return sim.Secret(password), nil
}

func newUserPasswordCommand(a *app) *cobra.Command {
	var file, current string
	cmd := &cobra.Command{
		Use: "password ID", Short: "Give a user a new password, read from stdin or a file: another's as an admin, one's own with the current one",
		Long: "Give a user a new password, read from stdin or a file: another user's as an organisation admin, one's own with the current one.\n\n" +
			"The user's sessions in browsers end; API tokens stay.",
		Example: "  dpesim user password nina --password-file new.txt\n  dpesim --as nina user password nina --current-file old.txt --password-file new.txt",
		Args:    exactArgs(1),
	}
	cmd.Flags().StringVar(&file, "password-file", "", "file with the new password (default: stdin); a newline at its end is no part of it")
	cmd.Flags().StringVar(&current, "current-file", "", "file with the current password, to change one's own")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		change := func(next sim.Secret) error { return c.ResetPassword(ctx, args[0], next) }
		if current != "" {
			me, err := c.Me(ctx)
			if err != nil {
				return err
			}
			if me.ID != args[0] {
				return usage(sim.Errorf(sim.Invalid, "--current-file is for one's own password, and you are %s", me.ID).WithHelp("leave it out to reset that of %s, or add --as %s", args[0], args[0]))
			}
			was, err := a.password(current)
			if err != nil {
				return err
			}
			change = func(next sim.Secret) error { return c.ChangePassword(ctx, was, next) }
		}
		next, err := a.password(file)
		if err != nil {
			return err
		}
		if err := change(next); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "%s has a new password; sessions of before have ended, API tokens stay\n", args[0])
		return nil
	})
	return cmd
}

func newUserRemoveCommand(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "remove ID --yes", Short: "Remove a user with sessions and API tokens", Args: exactArgs(1)}
	cmd.Flags().BoolVar(&yes, "yes", false, "really remove: it cannot be undone")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		if !yes {
			return usage(sim.Errorf(sim.Invalid, "removing user %s cannot be undone", args[0]).WithHelp("add --yes if you mean it"))
		}
		if err := c.RemoveUser(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "removed %s\n", args[0])
		return nil
	})
	return cmd
}

func newTokenCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "List, create and revoke API tokens of your own",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenListCommand(a), newTokenCreateCommand(a), newTokenRevokeCommand(a))
	return cmd
}

func newTokenListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List your API tokens, oldest first; the tokens themselves are shown only once, when created", Args: noArgs}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, _ []string) error {
		tokens, err := c.Tokens(ctx)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, tokens, func(w *tabwriter.Writer) {
			row(w, "ID", "NAME", "SCOPES", "CREATED", "EXPIRES")
			for _, t := range tokens {
				row(w, t.ID, t.Name, scopes(t.Scopes), t.Created.Format(time.RFC3339), t.Expires.Format(time.RFC3339))
			}
		})
	})
	return cmd
}

func newTokenCreateCommand(a *app) *cobra.Command {
	var names []string
	var expires string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create an API token and print it, and nothing else, on stdout. It is a secret",
		Example: "  dpesim token create CI --scopes read,write > token\n  dpesim --token-file token me", Args: exactArgs(1),
	}
	cmd.Flags().StringSliceVar(&names, "scopes", []string{string(api.ScopeRead)}, "what it is good for: read, write, secrets")
	cmd.Flags().StringVar(&expires, "expires", "", "when it ends, by the simulator's clock, as 2027-01-31T12:00:00Z (default: in 90 days)")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		spec := api.TokenSpec{Name: args[0]}
		for _, n := range names {
			spec.Scopes = append(spec.Scopes, api.Scope(strings.TrimSpace(n)))
		}
		if expires != "" {
			var err error
			if spec.Expires, err = time.Parse(time.RFC3339, expires); err != nil {
				return usage(sim.Errorf(sim.Invalid, "%q is no time", expires).WithHelp("give it as 2027-01-31T12:00:00Z"))
			}
		}
		t, err := c.AddToken(ctx, spec)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.Stdout, t.Secret.Reveal())
		fmt.Fprintf(a.Stderr, "token %s (%s) has the scopes %s and ends at %s; it is not shown again\n", t.ID, t.Name, scopes(t.Scopes), t.Expires.Format(time.RFC3339))
		return nil
	})
	return cmd
}

func newTokenRevokeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "revoke ID", Short: "End an API token of your own, at once", Args: exactArgs(1)}
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		if err := c.RemoveToken(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "revoked %s\n", args[0])
		return nil
	})
	return cmd
}

func newAuditCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Read who changed what in the portal, when and from where",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditListCommand(a))
	return cmd
}

func newAuditListCommand(a *app) *cobra.Command {
	filter, most := api.AuditFilter{Limit: pageRows}, 0
	cmd := &cobra.Command{Use: "list", Short: "List changes, and looks at secrets, newest first; as an organisation admin", Args: noArgs}
	output := outputFlag(cmd)
	cmd.Flags().StringVar((*string)(&filter.Environment), "environment", "", "only what was done to this environment")
	limitFlag(cmd, &most)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, _ []string) error {
		entries, err := firstOf(c.AllAudit(ctx, filter), most)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, entries, func(w *tabwriter.Writer) {
			row(w, "SEQ", "TIME", "USER", "VIA", "FROM", "ACTION", "OF", "DETAIL")
			for _, e := range entries {
				of := string(e.Environment)
				if e.DPE != "" {
					of += "/" + string(e.DPE)
				}
				var detail []string
				for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
					detail = append(detail, k+"="+e.Detail[k])
				}
				row(w, e.Seq, e.Time.Format(time.RFC3339), e.User, e.Via, e.Source, e.Action, of, strings.Join(detail, " "))
			}
		})
	})
	return cmd
}
