import type { ReactNode } from 'react';

interface Given {
  title: string;
  sentences: string[];
  children?: ReactNode;
}

/** One thing that is to be said, and what can be done about it. */
export function Message({ title, sentences, children }: Given) {
  return (
    <section>
      <h1 tabIndex={-1} ref={(heading) => heading?.focus()}>
        {title}
      </h1>
      <div role="status">
        {sentences.map((sentence) => (
          <p key={sentence}>{sentence}</p>
        ))}
      </div>
      {children}
    </section>
  );
}
