/** The room Steer: a prompt or a chat, what the plain and the edited model make of it, and the stages that make the difference. */
import { Composer } from "../chat/composer.tsx";
import { Transcript } from "../chat/transcript.tsx";
import { CostCard } from "./cost-card.tsx";
import { PromptCard } from "./prompt-card.tsx";
import { isChat } from "./run.ts";
import { RunRibbon } from "./run-ribbon.tsx";
import { Sides } from "./sides.tsx";
import { StagesCard } from "./stages-card.tsx";
import { TokenDetail } from "./token-detail.tsx";

export function Steer() {
  return (
    <div class="steer">
      <div class="steer-main">
        <PromptCard />
        <RunRibbon />
        {isChat.value ? (
          <>
            <Transcript />
            <Composer />
          </>
        ) : (
          <Sides />
        )}
        <TokenDetail />
        <CostCard />
      </div>
      <div class="steer-side">
        <StagesCard />
      </div>
    </div>
  );
}
