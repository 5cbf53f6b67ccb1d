package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newJobCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "job", Short: "Submit jobs and follow them",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newJobSubmitCommand(a), newJobListCommand(a), newJobGetCommand(a), newJobWatchCommand(a))
	return cmd
}

func newJobSubmitCommand(a *app) *cobra.Command {
	var spec api.JobSpec
	var wait bool
	var waitFor waitFlags
	cmd := &cobra.Command{
		Use: "submit ENVIRONMENT profile BUCKET/KEY", Short: "Submit a job: profile a CSV object",
		Example: "  dpesim job submit acme-production profile sample-data/birdstrikes.csv --wait", Args: exactArgs(3),
	}
	output := outputFlag(cmd)
	cmd.Flags().StringVar((*string)(&spec.Label), "dpe", "", "label of the DPE to run on (default: any that can)")
	cmd.Flags().Int64Var(&spec.MaxRecords, "max-records", 0, "read at most so many records: sample profiling (default: all, full profiling)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the job's end; a failed job is an error")
	waitFor.add(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		if api.JobKind(args[1]) != api.JobProfile {
			return usage(sim.Errorf(sim.Invalid, "unknown kind of job %q", args[1]).WithHelp("the one kind so far is %q", api.JobProfile))
		}
		bucket, key, err := bucketKey(args[2])
		if err != nil {
			return err
		}
		env := sim.EnvironmentID(args[0])
		spec.Kind, spec.Bucket, spec.Key = api.JobProfile, bucket, key
		job, err := c.SubmitJob(ctx, env, spec)
		if err != nil {
			return err
		}
		if wait {
			if job, err = finished(ctx, c, &waitFor, env, job.ID, func(api.Job) error { return nil }); err != nil {
				return err
			}
		}
		if err := output.print(a.Stdout, job, jobTable([]api.Job{job})); err != nil {
			return err
		}
		return failure(job)
	})
	return cmd
}

// finished waits for a job's end and calls seen with each state on the way.
func finished(ctx context.Context, c *api.Client, wait *waitFlags, env sim.EnvironmentID, id sim.JobID, seen func(api.Job) error) (api.Job, error) {
	var job api.Job
	last := api.JobState("")
	err := wait.until(ctx, c, env, fmt.Sprintf("job %s finished", id), func(ctx context.Context) (bool, error) {
		var err error
		if job, err = c.Job(ctx, env, id); err != nil {
			return false, err
		}
		if job.State != last {
			last = job.State
			if err := seen(job); err != nil {
				return false, err
			}
		}
		return job.State.Final(), nil
	})
	return job, err
}

// failure is the error of a job that ended without success.
func failure(job api.Job) error {
	if job.State == api.JobFailure || job.State == api.JobKilled {
		return sim.Errorf(sim.Unavailable, "job %s ended as %s: %s", job.ID, job.State, job.Reason)
	}
	return nil
}

func newJobListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list ENVIRONMENT", Short: "List an environment's jobs, newest first", Args: exactArgs(1)}
	output := outputFlag(cmd)
	filter := struct {
		api.JobFilter
		most int
	}{JobFilter: api.JobFilter{Limit: pageRows}}
	cmd.Flags().StringVar((*string)(&filter.State), "state", "", "only jobs in this state, as RUNNING")
	limitFlag(cmd, &filter.most)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		jobs, err := firstOf(c.AllJobs(ctx, sim.EnvironmentID(args[0]), filter.JobFilter), filter.most)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, jobs, jobTable(jobs))
	})
	return cmd
}

func jobTable(jobs []api.Job) func(*tabwriter.Writer) {
	return func(w *tabwriter.Writer) {
		row(w, "JOB", "KIND", "OBJECT", "STATE", "ATTEMPT", "ENGINE", "CREATED")
		for _, j := range jobs {
			row(w, j.ID, j.Spec.Kind, j.Spec.Bucket+"/"+j.Spec.Key, j.State, j.Attempt, j.Engine, j.Created.Format("15:04:05"))
		}
	}
}

func newJobGetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "get ENVIRONMENT JOB", Short: "Show one job with its summary and where its result is", Args: exactArgs(2)}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		job, err := c.Job(ctx, sim.EnvironmentID(args[0]), sim.JobID(args[1]))
		if err != nil {
			return err
		}
		return output.print(a.Stdout, job, func(w *tabwriter.Writer) {
			row(w, "Job", job.ID)
			row(w, "Object", job.Spec.Bucket+"/"+job.Spec.Key)
			row(w, "State", job.State)
			row(w, "Attempt", job.Attempt)
			row(w, "Engine", job.Engine)
			if job.Result != nil {
				row(w, "Result", fmt.Sprintf("%s/%s (%d bytes)", job.Result.Bucket, job.Result.Key, job.Result.SizeBytes))
			}
			row(w, "Reason", job.Reason)
			row(w, "Summary", string(job.Summary))
		})
	})
	return cmd
}

func newJobWatchCommand(a *app) *cobra.Command {
	var wait waitFlags
	cmd := &cobra.Command{Use: "watch ENVIRONMENT JOB", Short: "Print each state of a job until its end; a failed job is an error", Args: exactArgs(2)}
	output := outputFlag(cmd)
	wait.add(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		job, err := finished(ctx, c, &wait, sim.EnvironmentID(args[0]), sim.JobID(args[1]), func(j api.Job) error {
			return output.stream(a.Stdout, j, func(w *tabwriter.Writer) { row(w, j.ID, j.State, j.Attempt, j.Engine) })
		})
		if err != nil {
			return err
		}
		return failure(job)
	})
	return cmd
}
