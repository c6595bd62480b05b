/** A room that shows nothing before a model is open says what it is for. */
import { loading, openModel } from "../state/model.ts";

export function NeedsModel({ says, suggests }: { readonly says: string; readonly suggests: string }) {
  return (
    <section class="card stack empty">
      <p class="lead">{says}</p>
      <div class="row">
        <button
          type="button"
          class="button primary"
          disabled={loading.value !== null}
          onClick={() => void openModel({ kind: "small", id: suggests })}
        >
          Start with {suggests}
        </button>
        <span class="soft small">or open another model above.</span>
      </div>
    </section>
  );
}
