// Sentences of two registers, for the examples that fit an edit. A fit for work takes hundreds per class.
export const plays = [
  "First Citizen: Before we proceed any further, hear me speak.",
  "MENENIUS: Why, masters, my good friends, mine honest neighbours, will you undo yourselves?",
  "KING RICHARD: Now is the winter of our discontent made glorious summer.",
  "ROMEO: But, soft! what light through yonder window breaks?",
  "GLOUCESTER: My lord, I come to bear thee from the field.",
  "JULIET: O, be some other name! What's in a name?",
  "DUKE: What say you, sir? Thy sword hath done me wrong.",
  "QUEEN: Alas, my lord, thy grief hath made thee mad.",
];

export const tales = [
  "Once upon a time there was a little car named Beep.",
  "One day, a little girl named Lily found a needle in her room.",
  "Tom and his mom went to the park to play with the ball.",
  "The little fish was happy and swam near the shore.",
  "Sam had a big red toy and he liked to share it.",
  "The cat saw a bird in the tree and wanted to be friends.",
  "Mia was sad because her doll was lost.",
  "They all laughed and played together in the sun.",
];
