/* markdown.h - the little Markdown that answers are shown with.
 *
 * One line at a time: what kind of line it is (with the one fact that lines share: an open code
 * fence), and which bytes of it are shown in which look.  Emphasis ends with its line.
 * Invariant: work is linear in the line, whatever it holds; what is not a mark is shown. */
#ifndef S3D_UI_MARKDOWN_H
#define S3D_UI_MARKDOWN_H
#include "ui/cell/wrap.h"

struct md_fence {       /* length 0: not in a fence */
	char sign;
	int length, indent;
};

enum md_kind { MD_TEXT, MD_HEADING, MD_ITEM, MD_QUOTE, MD_RULE, MD_OPEN, MD_CODE, MD_CLOSE };

struct md_line {
	enum md_kind kind;
	int indent;             /* columns before the text, or before the bullet or number */
	int hang;               /* columns of the bullet or number, 0: none */
	bool numbered;
	int level;              /* of a heading */
	uint32_t body, len;     /* what is shown of the line: text, code, or the fence's title */
};

/* s[0..n-1] has no newline.  Moves the fence on. */
void md_classify(const char *s, uint32_t n, struct md_fence *, struct md_line *);

struct md_mark;
struct md_marks {       /* room for md_inline, reused from line to line */
	struct md_mark *v;
	int n, cap;
};
void md_marks_free(struct md_marks *);

/* Adds the spans of text[off..off+n-1], a line's body, in base's role and attributes. */
int md_inline(const char *text, uint32_t off, uint32_t n, struct span base, struct md_marks *,
	      struct spans *out);
#endif
