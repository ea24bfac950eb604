package demo

import (
	"context"
	"errors"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"
)

// controls are what the keys do.
type controls struct {
	do          func(deed, int)
	toggleDrain func(int)
	faster      func(by int) // by +1 or -1 steps
	pause       func()
}

// model is the view as bubbletea wants it: it holds the last frame and where the user is.
type model struct {
	look          look
	controls      controls
	frame         frame
	width, height int // 0 until the terminal has said
	selected      int
	help          bool
}

// frameMsg brings a new frame.
type frameMsg frame

func (m model) Init() tea.Cmd { return nil }

func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case frameMsg:
		m.frame = frame(msg)
	case tea.KeyPressMsg:
		return m.key(msg.String())
	}
	return m, nil
}

// key does what a key says. What takes time is done beside the view.
func (m model) key(key string) (tea.Model, tea.Cmd) {
	if key == "q" || key == "ctrl+c" {
		return m, tea.Quit
	}
	if m.help {
		m.help = false
		return m, nil
	}
	server := m.selected
	beside := func(f func()) tea.Cmd { return func() tea.Msg { f(); return nil } }
	switch key {
	case "k":
		return m, beside(func() { m.controls.do(kill, server) })
	case "r":
		return m, beside(func() { m.controls.do(revive, server) })
	case "d":
		return m, beside(func() { m.controls.toggleDrain(server) })
	case "+", "=":
		m.controls.faster(+1)
	case "-", "_":
		m.controls.faster(-1)
	case "p", "space":
		m.controls.pause()
	case "?", "h":
		m.help = true
	case "up":
		m.selected = max(server-1, 0)
	case "down", "tab":
		m.selected = min(server+1, max(len(m.frame.rows)-1, 0))
	default:
		if n, err := strconv.Atoi(key); err == nil && n >= 1 && n <= len(m.frame.rows) {
			m.selected = n - 1
		}
	}
	return m, nil
}

func (m model) View() tea.View {
	if m.width == 0 {
		return tea.NewView("")
	}
	v := tea.NewView(render(m.frame, m.look, m.width, m.height, m.selected, m.help))
	v.AltScreen = true
	v.WindowTitle = "carillon demo"
	return v
}

// refresh is how often the view is drawn anew.
const refresh = 250 * time.Millisecond

// show has the view on the terminal until the user quits or ctx ends.
func (f *farm) show(ctx context.Context) error {
	m := model{look: osLook(), controls: controls{
		do: f.do, toggleDrain: f.toggleDrain, faster: f.faster, pause: f.pause,
	}}
	program := tea.NewProgram(m, tea.WithContext(ctx))
	feeding, cancel := context.WithCancel(ctx)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		f.eachReading(feeding, refresh, func(fr frame) { program.Send(frameMsg(fr)) })
	}()
	_, err := program.Run()
	cancel()
	<-fed
	if ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

// eachReading takes a reading at once and then every so often, and hands its frame on, until ctx ends.
func (f *farm) eachReading(ctx context.Context, every time.Duration, use func(frame)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		now := time.Now() // not the tick's: on a busy machine that is long ago
		f.observe(now)
		use(f.watch.frame(now))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// rateSteps are the calls a second that + and - go through.
var rateSteps = [...]float64{1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000}

// stepped is the step above (by is +1) or below a rate; at the end of the steps, the rate itself.
func stepped(rate float64, by int) float64 {
	to := rate
	for _, step := range rateSteps {
		if by > 0 && step > rate {
			return step
		}
		if by < 0 && step < rate {
			to = step
		}
	}
	return to
}

func (f *farm) faster(by int) {
	rate, _ := f.fleet.Rate()
	f.fleet.SetRate(stepped(rate, by))
}

func (f *farm) pause() {
	_, paused := f.fleet.Rate()
	f.fleet.SetPaused(!paused)
}
