/* pruning.c - see pruning.h. */
#include "engine/approx/pruning.h"
#include "kernels/prune.h"
#include <stdio.h>
#include <string.h>

int pruning_parse(const char *spec, struct pruning *out, char err[ERR_MAX])
{
	double rho;
	int end = 0;

	*out = (struct pruning){ .in = 0 };
	if (!spec || !*spec || !strcmp(spec, "off"))
		return 0;
	if (strspn(spec, ".0123456789") < 1 || sscanf(spec, "%8lf%n", &rho, &end) != 1 ||
	    !(rho > 0 && rho <= 1))
		return fail(err, "--dip and --dip-draft take off, or the part of the MLPs' columns "
			    "that is read, above 0 and up to 1 (as .7), not '%.32s'", spec);
	*out = prune_split(rho);
	if (!strcmp(spec + end, ":even"))
		*out = (struct pruning){ .in = rho, .hidden = rho };
	else if (!strcmp(spec + end, ":hidden") && 3 * rho > 2)
		*out = (struct pruning){ .in = 1, .hidden = 3 * rho - 2 };
	else if (!strcmp(spec + end, ":hidden"))
		return fail(err, "--dip %.32s: two thirds are gate's and up's; above .667 can be",
			    spec);
	else if (spec[end])
		return fail(err, "--dip %.32s: behind the part only :even or :hidden can stand",
			    spec);
	return 0;
}

bool pruning_any(const struct pruning *p)
{
	return p->in > 0 && (p->in < 1 || p->hidden < 1);
}

bool pruning_asked(const char *spec)
{
	struct pruning p;
	char err[ERR_MAX];

	return pruning_parse(spec, &p, err) == 0 && pruning_any(&p);
}

int pruning_aware(const char *spec, struct pruning *out, char err[ERR_MAX])
{
	float gamma = 0;
	int end = 0;

	out->gamma = 0;
	out->warm = false;
	if (!spec || !*spec || !strcmp(spec, "off"))
		return 0;
	if (strspn(spec, ".0123456789") < 1 || sscanf(spec, "%8f%n", &gamma, &end) != 1 ||
	    !(gamma > 0 && gamma <= 1) || (spec[end] && strcmp(spec + end, ":warm") != 0))
		return fail(err, "--dip-ca takes off, or how much a column counts that is not in "
			    "the cache, above 0 and up to 1 (as .2, or .2:warm), not '%.32s'",
			    spec);
	out->gamma = gamma;
	out->warm = spec[end] == ':';
	return 0;
}

const char *pruning_text(const struct dip *d, char text[PRUNING_TEXT])
{
	bool on = pruning_any(&d->keep);

	bool aware = on && d->keep.gamma > 0;

	snprintf(text, PRUNING_TEXT, "%s%s%s%s%s", on ? d->spec : "off", on && d->weighted ?
		 " weighted" : "", on && d->prompts ? " with prompts" : "", aware ? " ca " : "",
		 aware ? d->aware : "");
	return text;
}
