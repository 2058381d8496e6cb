package scribe

import (
	"context"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/transcript"
	"jigasi/internal/translate"
	"jigasi/internal/xlog"
)

// maxUntranslated is how many sentences wait for one language; the oldest goes.
const maxUntranslated = 100

// maxTargets bounds the languages of one session.
const maxTargets = 50

// Translate says into which languages finals are translated from now on.
func (s *Scribe) Translate(targets []string) {
	if s.o.Translator == nil {
		return
	}
	s.translating.Lock()
	defer s.translating.Unlock()
	s.wanted = map[string]bool{}
	for _, lang := range targets {
		if lang == "" || s.target[lang] == nil && (s.settled || len(s.target) >= maxTargets) {
			continue
		}
		s.wanted[lang] = true
		if s.target[lang] == nil {
			s.translateInto(lang)
		}
	}
}

// translate gives a final to the languages that are wanted, but its own.
func (s *Scribe) translate(e transcript.Entry) {
	s.translating.Lock()
	defer s.translating.Unlock()
	for lang := range s.wanted {
		if lang != e.Language && lang != recognize.Primary(e.Language) && s.target[lang].put(e) {
			s.o.Counts.TranslateDropped.Add(1)
		}
	}
}

// lastLanguage lets no language begin any more.
func (s *Scribe) lastLanguage() {
	s.translating.Lock()
	defer s.translating.Unlock()
	s.settled = true
}

// endTranslators ends the translators when they have done what waits.
func (s *Scribe) endTranslators() {
	s.translating.Lock()
	defer s.translating.Unlock()
	for _, q := range s.target {
		q.end()
	}
}

// translateInto starts the translator of one language: one sentence after the other, so that their
// order holds. It goes on to the end of the session.
func (s *Scribe) translateInto(lang string) {
	q := newQueue(maxUntranslated, &s.o.Counts.Untranslated)
	s.target[lang] = q
	s.workers.Go(func() {
		defer q.drop()
		var sometimes xlog.Sometimes
		for {
			e, ok := q.take(s.ctx)
			if !ok {
				return
			}
			began := time.Now()
			ctx, cancel := context.WithTimeout(s.ctx, translate.Limit)
			text, err := s.o.Translator.Translate(ctx, e.Text, recognize.Primary(e.Language), lang)
			cancel()
			if err != nil {
				s.o.Counts.TranslateErrors.Add(1)
				sometimes.Do(time.Now(), func(more int64) {
					s.log.Warn("a sentence was not translated", "language", lang, "more", more, xlog.Err, err)
				})
				continue
			}
			s.o.Counts.Translated.Add(1)
			s.o.Counts.TranslateTime.Add(time.Since(began))
			e.Kind, e.Language, e.Text, e.Confidence, e.Stability = transcript.Translation, lang, text, 0, 0
			s.in <- e
		}
	})
}
