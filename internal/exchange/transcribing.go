package exchange

import (
	"context"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/rayo"
)

// A transcribing is a transcriber in a room, or on its way there.
type transcribing struct {
	ready   chan struct{} // closed when what follows is set
	dialled Dialled
	err     error
}

// wantsTranscriber reports whether a request is for a transcriber instead of a phone.
func wantsTranscriber(r Request) bool { return r.To == rayo.Transcribe }

// transcribe has a transcriber join a room. There is one in each room: who asks while it is there is told of that one.
func (x *Exchange) transcribe(ctx context.Context, r Request, target Target) (Dialled, error) {
	room := target.Room.String()
	x.mu.Lock()
	t := x.transcribers[room]
	if t != nil {
		x.mu.Unlock()
		select {
		case <-t.ready:
			return t.dialled, t.err
		case <-ctx.Done():
			return Dialled{}, cause.Cause{Code: cause.Timeout, Text: "the transcriber that is on its way into the room takes too long: look for its line in the log", Err: ctx.Err()}
		}
	}
	t = &transcribing{ready: make(chan struct{}), err: cause.Cause{Code: cause.Panic, Text: "a defect of ours ended this call"}}
	if x.transcribers == nil {
		x.transcribers = map[string]*transcribing{}
	}
	x.transcribers[room] = t
	x.mu.Unlock()
	defer func() {
		if t.err != nil {
			x.transcribed(room, t)
		}
		close(t.ready)
	}()
	t.dialled, t.err = x.sendTranscriber(ctx, r, target, t)
	return t.dialled, t.err
}

func (x *Exchange) sendTranscriber(ctx context.Context, r Request, target Target, t *transcribing) (Dialled, error) {
	id, why := x.admit()
	if why.Code != cause.Normal {
		x.total.refused.Add(1)
		return Dialled{}, why
	}
	place := Place{Target: target, Name: transcriberName, Nick: NewNick(), Outgoing: true, Transcriber: true, Headers: r.Headers, transcribing: t}
	if x.opt.UserAsNick {
		place.Nick = transcriberName
	}
	place.Log, place.story = x.callLog(id, target.Room, "")
	var e *entry
	phone, err := x.opt.Dial(x.ctx, r, place)
	if err != nil {
		x.unwind(id, nil, nil)
		x.total.refused.Add(1)
		return Dialled{}, err
	}
	defer func() { x.unwind(id, phone, e) }()
	place.Log.Info("transcriber called")
	e = x.start(id, phone, place, transcriberName, "", true)
	return x.awaitRoom(ctx, e)
}

// transcriberEnd is how long the last words may take, and what is kept of them.
const transcriberEnd = 40 * time.Second

// transcriberName is how a transcriber is shown: old clients know it by this name alone.
const transcriberName = "Transcriber"

// transcribed is the end of a transcriber: the next one may come.
func (x *Exchange) transcribed(room string, t *transcribing) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.transcribers[room] == t {
		delete(x.transcribers, room)
	}
}
