package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// stopLimit is how long a role may take to end after SIGTERM.
	stopLimit = 15 * time.Second
	// steadyAfter is how long a role has to run to count as started: ends before that make the
	// pause before the next start longer, so that a wrong flag does not spin.
	steadyAfter = 10 * time.Second
	maxDelay    = 10 * time.Second
	holdPoll    = 50 * time.Millisecond
)

// child keeps one role running: started again whenever it ends, however it ends, until stopped.
type child struct {
	name  string
	args  []string
	files layout
	delay time.Duration

	mu      sync.Mutex
	process *os.Process
	early   int // ends in a row before steadyAfter

	stopping context.CancelFunc
	done     chan struct{}
}

// start begins supervising. failed hears of ends that come too early, for as long as ctx lives.
func (c *child) start(ctx context.Context, failed chan<- error) {
	run, stopping := context.WithCancel(context.Background())
	c.stopping = stopping
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		// The parent-death signal below is tied to the thread that forks, so the thread has to
		// live as long as the child does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for run.Err() == nil {
			started := time.Now()
			err := c.runOnce()
			if run.Err() != nil {
				return
			}
			pause := c.ended(time.Since(started), err)
			select {
			case failed <- fmt.Errorf("%s ended (%w), see %s", c.name, err, c.files.log(c.name)):
			case <-ctx.Done():
			default:
			}
			c.wait(run, pause)
		}
	}()
}

// runOnce starts the role and returns when it ended; the error says how.
func (c *child) runOnce() error {
	log, err := os.OpenFile(c.files.log(c.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, append([]string{c.name}, c.args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// A group of its own: Ctrl-C is for the supervisor, which stops the roles in order.
		Setpgid: true,
		// No role outlives the supervisor, not even when that is killed.
		Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.setProcess(cmd.Process)
	defer c.setProcess(nil)
	if err := writePid(c.files.pid(c.name), cmd.Process.Pid); err != nil {
		say("%v", err)
	}
	defer os.Remove(c.files.pid(c.name))
	if err := cmd.Wait(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}

// ended reports an unasked-for end and returns the pause before the next start.
func (c *child) ended(ran time.Duration, err error) time.Duration {
	if ran > steadyAfter {
		c.early = 0
	} else {
		c.early++
	}
	pause := c.delay
	for i := 1; i < c.early && pause < maxDelay; i++ {
		pause *= 2
	}
	pause = min(pause, maxDelay)
	say("%s ended after %.1fs: %v; starting it again in %s", c.name, ran.Seconds(), err, pause)
	return pause
}

// wait lasts for pause, and on for as long as the role is held.
func (c *child) wait(run context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-run.Done():
		return
	case <-timer.C:
	}
	held := false
	for run.Err() == nil {
		if _, err := os.Stat(c.files.hold(c.name)); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if !held {
			say("%s is held down until %s is removed", c.name, c.files.hold(c.name))
			held = true
		}
		time.Sleep(holdPoll)
	}
	if run.Err() == nil {
		say("starting %s", c.name)
	}
}

// stop ends the role for good: SIGTERM, and SIGKILL when that is not heard in time.
func (c *child) stop() {
	c.stopping()
	c.signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(stopLimit):
		say("%s did not end within %s of SIGTERM: killing it", c.name, stopLimit)
		c.signal(syscall.SIGKILL)
		<-c.done
	}
}

func (c *child) setProcess(p *os.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process = p
}

func (c *child) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		// It may have ended on its own by now, which is what the signal is for.
		_ = c.process.Signal(s)
	}
}
