/* calibrate_job.c - what all parts of a calibration tell whoever asked for it, and ask: how far it
 * is, and whether to stop.
 *
 * Invariant: what was told to be done never shrinks. */
#include "engine/calibrate/calibrate_parts.h"

bool calibrate_stop(const struct calibrate *c)
{
	return c->o->stop && c->o->stop(c->o->ctx);
}

void calibrate_note(const struct calibrate *c, const char *text)
{
	if (c->o->note)
		c->o->note(c->o->ctx, text);
}

void calibrate_tell(struct calibrate *c, double done, const char *what)
{
	double now = clock_now(), gone = now - c->start, before = c->weighs - c->start;
	double left = c->all_s - gone, rest = c->start + c->all_s - c->end;

	if (!c->o->progress || now - c->told < 0.25)
		return;
	c->told = now;
	if (done > 0.05)
		left = (now - c->holds) / done * (1 - done);
	if (done < 0 && !c->r->text_s)  /* however long the text takes, this comes behind it */
		left = left > rest ? left : rest;
	left = left > 1 ? left : 1;
	left = c->left && left > c->left ? c->left : left;
	c->left = left;
	if (done < 0)
		done = gone / c->all_s;
	else
		done = before / (before + (now - c->weighs) + left) * (1 - done) + done;
	done = done > c->most ? done : c->most;
	c->most = done < 0.99 ? done : 0.99;
	c->o->progress(c->o->ctx, c->most, left, what);
}

void calibrate_found(struct calibrate *c, double left)
{
	if (!c->holds)
		c->holds = clock_now();
	if (c->left && left > c->left)
		c->left = left;
}
